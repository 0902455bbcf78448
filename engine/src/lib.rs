//! Quintile's engine.
