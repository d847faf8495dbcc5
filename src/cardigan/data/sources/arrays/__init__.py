"""Sources whose pictures are pixels already: NumPy files, IDX, the digits that scikit-learn carries."""
