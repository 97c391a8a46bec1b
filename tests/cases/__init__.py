"""What comes in, and what must become of it: tables that anyone can extend.

Each module here whose name does not begin with `test` holds cases (`Write`, `Import`); `test_cases` runs them all.
A case is a small input and either the bars that must come out, or the refusal, what its hint says, and the
bars that come out where one follows it.
"""
