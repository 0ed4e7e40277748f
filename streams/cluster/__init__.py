"""The cluster: workers that read Kafka, decide with the same handler and store in PostgreSQL."""
