"""Model files: fetching them, looking into them, writing them."""
