//! SUIT envelopes under COSE_Sign1: parse, verify and interpret the deltagate profile.
