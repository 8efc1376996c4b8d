//! Functions of connectors that stand in declarations, which are constant data.

/// Defines types of functions that are known by their names: declarations compare and show the names, as the
/// addresses of functions say nothing.
macro_rules! named_function {
    ($($(#[$doc:meta])* $ty:ident($function:ty)),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy)]
        pub struct $ty {
            name: &'static str,
            pub(crate) run: $function,
        }

        impl $ty {
            /// The function with this name.
            pub const fn new(name: &'static str, run: $function) -> Self {
                Self { name, run }
            }
        }

        impl PartialEq for $ty {
            fn eq(&self, other: &Self) -> bool {
                self.name == other.name
            }
        }

        impl Eq for $ty {}

        impl std::fmt::Debug for $ty {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.name)
            }
        }

        impl serde::Serialize for $ty {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
                serializer.serialize_str(self.name)
            }
        }
    )*};
}

pub(crate) use named_function;
