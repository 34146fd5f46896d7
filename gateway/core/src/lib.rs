//! The gateway's decisions, sans-IO: sessions, resources, link shaping, artefact choice.
