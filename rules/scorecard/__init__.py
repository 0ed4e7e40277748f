"""The scorecard: how a month went with one partner, as a pure function of what was said of it.

`rules.partner_months` works out what the months came to, each section is a file named as the
section, and `scorecard` puts them together. Each share is compared with its target on integers and
rounded down when shown, so that only all of them show as 100 %.
"""
