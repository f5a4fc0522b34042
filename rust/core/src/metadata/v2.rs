//! Zarr V2.
