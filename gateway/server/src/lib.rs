//! The deltagate gateway: UDP driver, store, command line.
