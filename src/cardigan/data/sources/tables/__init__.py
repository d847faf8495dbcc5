"""Sources that are tables with a row for each picture: parquet, Arrow, data sets of the Hugging Face hub."""
