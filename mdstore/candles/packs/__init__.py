"""The columnar copy: cells, pack files, sealing and merging."""
