"""Views of a running search in notebooks and terminals. They read what the search left behind; they never train."""
