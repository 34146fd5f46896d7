//! Partitions, append-only records and a simulated NOR flash.
