//! Chains
