"""The cluster against what else one could run on Kafka, with the records of `make bench`."""
