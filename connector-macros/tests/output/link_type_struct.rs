#[derive(
    ::core::clone::Clone,
    ::core::marker::Copy,
    ::core::cmp::PartialEq,
    ::core::cmp::Eq,
    ::core::fmt::Debug
)]
pub struct ChatMessage;
#[automatically_derived]
impl renamed::__private::LinkType for ChatMessage {
    type Meta = ();
    const DECLARATION: &'static renamed::__private::LinkTypeDeclaration = &renamed::__private::LinkTypeDeclaration::new(
        "chat_message",
        "Chat message",
    );
    fn status(self) -> ::core::option::Option<&'static str> {
        ::core::option::Option::None
    }
    fn from_status(_: &str) -> ::core::option::Option<Self> {
        ::core::option::Option::None
    }
}
