"""What stands behind the protocols of `pdk.services`: a plugin never learns which store it has."""
