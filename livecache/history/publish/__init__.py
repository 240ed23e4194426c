"""History as Parquet files for any number of readers, kept up with the store."""
