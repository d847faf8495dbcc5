"""Sources that are trees of files: folders, zip and tar archives, and the conventions of what lies in them."""
