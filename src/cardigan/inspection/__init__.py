"""A look at data before it is trained on: what there is, what is broken, what stands there twice.

found = survey(open_source("photos.zip"))       # one pass over every picture
twice = duplicates(found)
alike = mirrored_alike(found.rows["luma"])
lines = describe(found, twice, alike)
contact_sheet(found, Path("photos.png"))
"""
