"""What every wing uses: writing whole files, the cache folder, errors, language tags, progress."""
