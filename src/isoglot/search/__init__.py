"""An index over rows with vectors, and a search whose lists are fair to languages.

Nothing here but `building`, which encodes, imports torch; encoders are given to it. docs/search.md is the guide.
"""
