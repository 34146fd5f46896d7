//! The emulated board: the only unsafe code in the project.
