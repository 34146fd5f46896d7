//! Vendor and class names as UUIDs (RFC 9562 version 5), as RFC 9124 §3.3 and §3.4 recommend.

use uuid::Uuid;

/// The vendor-id of a domain the vendor owns: UUIDv5 in the DNS name space. Names are taken as written but for their
/// case: `Example.COM` is `example.com`, as in DNS.
pub fn vendor_id(domain: &str) -> [u8; 16] {
    *Uuid::new_v5(&Uuid::NAMESPACE_DNS, domain.to_ascii_lowercase().as_bytes()).as_bytes()
}

/// The class-id of a device class: UUIDv5 of its name, as written, in the vendor's name space.
pub fn class_id(vendor_id: &[u8; 16], class: &str) -> [u8; 16] {
    *Uuid::new_v5(&Uuid::from_bytes(*vendor_id), class.as_bytes()).as_bytes()
}

/// A UUID in its usual spelling.
pub fn uuid_text(id: &[u8; 16]) -> String {
    Uuid::from_bytes(*id).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first is the vendor identifier of the draft's examples; the second was made by another implementation.
    #[test]
    fn ids_are_those_of_other_implementations() {
        assert_eq!(
            uuid_text(&vendor_id("arm.com")),
            "fa6b4a53-d5ad-5fdf-be9d-e663e4d41ffe"
        );
        let class = class_id(&vendor_id("arm.com"), "foobar");
        assert_eq!(uuid_text(&class), "532f086b-6656-57a3-984f-8857610e9d52");
    }

    #[test]
    fn a_domain_has_no_case_and_a_class_has() {
        let vendor = vendor_id("arm.com");
        assert_eq!(vendor_id("ARM.com"), vendor);
        assert_ne!(class_id(&vendor, "Foobar"), class_id(&vendor, "foobar"));
    }
}
