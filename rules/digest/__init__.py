"""The digest: what leadership reads of one week, as a pure function of what the store found.

`material` says what has to be loaded, each section is a file named as the section, and `digest`
puts them together. Figures stand as of the end of the period, with all that is known by then and
since: events that came late, and excuses that were given for it afterwards.
"""
