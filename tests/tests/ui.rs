//! What must not compile does not, with a message that helps; see `ui/README.md`.

/// R1.11, R1.12, R2.1
#[test]
fn mistakes_do_not_compile() {
    trybuild::TestCases::new().compile_fail("ui/fail/*.rs");
}
