//! Points of the curve −x² + y² = 1 + d x² y² (RFC 8032 §5.1).

use super::field::Element;

/// Extended coordinates (RFC 8032 §5.1.4): x = X/Z, y = Y/Z, xy = T/Z.
#[derive(Clone, Copy)]
pub(super) struct Point {
    x: Element,
    y: Element,
    z: Element,
    t: Element,
}

/// d = −121665/121666.
const D: Element = Element::new([
    0x1359_78A3,
    0x75EB_4DCA,
    0x4141_D8AB,
    0x0070_0A4D,
    0x7779_E898,
    0x8CC7_4079,
    0x2B6F_FE73,
    0x5203_6CEE,
]);
/// A square root of −1: 2 to the power of (p − 1) / 4.
const ROOT: Element = Element::new([
    0x4A0E_A0B0,
    0xC4EE_1B27,
    0xAD2F_E478,
    0x2F43_1806,
    0x3DFB_D7A7,
    0x2B4D_0099,
    0x4FC1_DF0B,
    0x2B83_2480,
]);
const BASE_X: Element = Element::new([
    0x8F25_D51A,
    0xC956_2D60,
    0x9525_A7B2,
    0x692C_C760,
    0xFDD6_DC5C,
    0xC0A4_E231,
    0xCD6E_53FE,
    0x2169_36D3,
]);
/// 4/5.
const BASE_Y: Element = Element::new([
    0x6666_6658,
    0x6666_6666,
    0x6666_6666,
    0x6666_6666,
    0x6666_6666,
    0x6666_6666,
    0x6666_6666,
    0x6666_6666,
]);

impl Point {
    pub(super) const NEUTRAL: Self = Self {
        x: Element::ZERO,
        y: Element::ONE,
        z: Element::ONE,
        t: Element::ZERO,
    };

    fn new(x: Element, y: Element) -> Self {
        Self {
            x,
            y,
            z: Element::ONE,
            t: x.times(&y),
        }
    }

    /// B.
    pub(super) fn base() -> Self {
        Self::new(BASE_X, BASE_Y)
    }

    /// RFC 8032 §5.1.3, for a point that has no small order: so x is not 0, and its sign is one or the other.
    #[inline(never)]
    pub(super) fn read(encoded: &[u8; 32]) -> Option<Self> {
        let mut y = *encoded;
        y[31] &= 0x7F;
        let y = Element::read(&y)?;
        // x² = u / v, and v is never 0, as d is no square. A root of it, if there is one, is u v³ (u v⁷)^((p − 5) / 8), or
        // that times the root of −1.
        let (yy, one) = (y.squared(), &Element::ONE);
        let (u, v) = (yy.minus(one), yy.times(&D).plus(one));
        let uv3 = u.times(&v).times(&v.squared());
        let uv7 = uv3.times(&v.squared().squared());
        let mut x = uv3.times(&uv7.power_p58());
        if !x.squared().times(&v).is(&u) {
            x = x.times(&ROOT);
            if !x.squared().times(&v).is(&u) {
                return None;
            }
        }
        if x.is_odd() != (encoded[31] >= 0x80) {
            x = Element::ZERO.minus(&x);
        }
        let point = Self::new(x, y);
        // The small orders are 1, 2, 4 and 8, and points of orders 1 and 2 those with x = 0.
        let twice = point.plus(&point);
        match twice.plus(&twice).x.is(&Element::ZERO) {
            true => None,
            false => Some(point),
        }
    }

    /// The addition of RFC 8032 §5.1.4, which is complete: as −1 is a square and d none, it holds for any two points, the same
    /// and opposite ones included.
    #[inline(never)]
    pub(super) fn plus(&self, other: &Self) -> Self {
        let a = self.y.minus(&self.x).times(&other.y.minus(&other.x));
        let b = self.y.plus(&self.x).times(&other.y.plus(&other.x));
        let c = self.t.times(&other.t).times(&D);
        let c = c.plus(&c);
        let d = self.z.times(&other.z);
        let d = d.plus(&d);
        let (e, f, g, h) = (b.minus(&a), d.minus(&c), d.plus(&c), b.plus(&a));
        Self {
            x: e.times(&f),
            y: g.times(&h),
            z: f.times(&g),
            t: e.times(&h),
        }
    }

    /// Whether it is the point that was read.
    pub(super) fn is(&self, read: &Self) -> bool {
        self.x.is(&read.x.times(&self.z)) && self.y.is(&read.y.times(&self.z))
    }
}
