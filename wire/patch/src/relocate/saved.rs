//! What of the relocation a checkpoint keeps beside the tables in the decoder memory.

use super::{Relocator, Walk};
use crate::checkpoint::Fields;
use crate::map::Moved;

impl Relocator {
    pub(crate) fn saved(&mut self, fields: &mut Fields) {
        let Self {
            relocation: _, // in the setup
            base_bytes: _,
            map,
            lessons: _, // regions follow from the memory class
            shifts: _,
            walk,
        } = self;
        map.saved(fields);
        walk.saved(fields);
    }
}

impl Walk {
    fn saved(&mut self, fields: &mut Fields) {
        let Self { trail, copy } = self;
        trail.saved(fields);
        let Moved { source, bytes, shift } = copy;
        fields.u32(source);
        fields.u32(bytes);
        fields.u32(shift);
    }
}
