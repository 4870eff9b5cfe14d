//! The shapes of a conversion: a message, a field of one, a choice of one; and macros that write both
//! directions from one list of names, so that they cannot drift apart. Which types have which shape is
//! said in the files beside this one.

use crate::name::Invalid;

/// Why a message is not what it should be. `DecodeError` adds of what.
#[derive(Debug)]
pub(super) struct Fault(pub(super) String);

impl Fault {
    pub(super) fn new(why: &str) -> Self {
        Self(why.to_owned())
    }

    pub(super) fn missing(what: &str) -> Self {
        Self(format!("`{what}` is missing"))
    }
}

impl From<Invalid> for Fault {
    fn from(invalid: Invalid) -> Self {
        Self(invalid.to_string())
    }
}

/// A domain type with a message of its own.
pub(super) trait Wire: Sized + PartialEq {
    type Message: prost::Message + Default;
    /// What a person calls it.
    const WHAT: &'static str;

    fn to_wire(&self) -> Self::Message;

    fn from_wire(message: Self::Message) -> Result<Self, Fault>;

    /// What it means that a message field is absent; none where the field must be there.
    /// A value equal to this is not written, which saves its bytes in most rows.
    fn absent() -> Option<Self> {
        None
    }
}

/// A domain type as a field of a message, in the type that the generated code has for it.
pub(super) trait Field: Sized {
    type Wire;

    fn to_field(&self) -> Self::Wire;

    fn from_field(field: Self::Wire, name: &'static str) -> Result<Self, Fault>;
}

/// A domain enum without data.
pub(super) trait Plain: Sized {
    fn to_number(self) -> i32;

    fn from_number(number: i32, name: &'static str) -> Result<Self, Fault>;
}

/// A domain enum whose variants carry data: a `oneof`.
pub(super) trait Choice: Sized {
    type Oneof;
    const WHAT: &'static str;

    fn to_oneof(&self) -> Self::Oneof;

    fn from_oneof(oneof: Self::Oneof) -> Result<Self, Fault>;
}

impl<T: Wire> Field for T {
    type Wire = Option<T::Message>;

    fn to_field(&self) -> Self::Wire {
        let absent = T::absent().is_some_and(|absent| absent == *self);
        (!absent).then(|| self.to_wire())
    }

    fn from_field(field: Self::Wire, name: &'static str) -> Result<Self, Fault> {
        match field {
            Some(message) => T::from_wire(message),
            None => T::absent().ok_or_else(|| Fault::missing(name)),
        }
    }
}

impl<T: Wire> Field for Option<T> {
    type Wire = Option<T::Message>;

    fn to_field(&self) -> Self::Wire {
        self.as_ref().map(Wire::to_wire)
    }

    fn from_field(field: Self::Wire, _name: &'static str) -> Result<Self, Fault> {
        field.map(T::from_wire).transpose()
    }
}

impl<T: Wire> Field for Vec<T> {
    type Wire = Vec<T::Message>;

    fn to_field(&self) -> Self::Wire {
        self.iter().map(Wire::to_wire).collect()
    }

    fn from_field(field: Self::Wire, _name: &'static str) -> Result<Self, Fault> {
        field.into_iter().map(T::from_wire).collect()
    }
}

/// A struct and its message. Fields have the same names on both sides; `renamed` lists those
/// that do not, domain first.
macro_rules! record {
    (
        $domain:ty => $message:path, $what:literal,
        { $($field:ident),* $(,)? }
        $(, renamed { $($inner:ident: $outer:ident),* })?
        $(, absent $absent:expr)?
    ) => {
        impl $crate::convert::shape::Wire for $domain {
            type Message = $message;
            const WHAT: &'static str = $what;

            fn to_wire(&self) -> $message {
                $message {
                    $($field: $crate::convert::shape::Field::to_field(&self.$field),)*
                    $($($outer: $crate::convert::shape::Field::to_field(&self.$inner),)*)?
                }
            }

            fn from_wire(message: $message) -> Result<Self, $crate::convert::shape::Fault> {
                Ok(Self {
                    $($field: $crate::convert::shape::Field::from_field(
                        message.$field,
                        stringify!($field),
                    )?,)*
                    $($($inner: $crate::convert::shape::Field::from_field(
                        message.$outer,
                        stringify!($outer),
                    )?,)*)?
                })
            }

            $(fn absent() -> Option<Self> {
                $absent
            })?
        }
    };
}

/// An enum and its oneof. `units` have an empty message, `messages` carry a type that has one, `values` anything else, in the
/// one field of the message that is named, and `records` are struct variants whose message, of the same name, lies in `$module`.
macro_rules! choice {
    (
        $domain:ident => $oneof:ident in $module:ident, $what:literal,
        units [$($unit:ident),* $(,)?],
        messages [$($message:ident),* $(,)?],
        $(values { $($value:ident in $named:ident { $held:ident }),* $(,)? },)?
        records { $($record:ident { $($field:ident),* }),* $(,)? },
        renamed { $($other:ident { $($inner:ident: $outer:ident),* }),* $(,)? } $(,)?
    ) => {
        impl $crate::convert::shape::Choice for $domain {
            type Oneof = $oneof;
            const WHAT: &'static str = $what;

            fn to_oneof(&self) -> $oneof {
                match self {
                    $(Self::$unit => $oneof::$unit($module::$unit {}),)*
                    $(Self::$message(inner) => {
                        $oneof::$message($crate::convert::shape::Wire::to_wire(inner))
                    })*
                    $($(Self::$value(inner) => $oneof::$value($module::$named {
                        $held: $crate::convert::shape::Field::to_field(inner),
                    }),)*)?
                    $(Self::$record { $($field),* } => $oneof::$record($module::$record {
                        $($field: $crate::convert::shape::Field::to_field($field),)*
                    }),)*
                    $(Self::$other { $($inner),* } => $oneof::$other($module::$other {
                        $($outer: $crate::convert::shape::Field::to_field($inner),)*
                    }),)*
                }
            }

            fn from_oneof(oneof: $oneof) -> Result<Self, $crate::convert::shape::Fault> {
                Ok(match oneof {
                    $($oneof::$unit($module::$unit {}) => Self::$unit,)*
                    $($oneof::$message(inner) => {
                        Self::$message($crate::convert::shape::Wire::from_wire(inner)?)
                    })*
                    $($($oneof::$value(inner) => Self::$value(
                        $crate::convert::shape::Field::from_field(
                            inner.$held,
                            stringify!($held),
                        )?,
                    ),)*)?
                    $($oneof::$record(inner) => Self::$record {
                        $($field: $crate::convert::shape::Field::from_field(
                            inner.$field,
                            stringify!($field),
                        )?,)*
                    },)*
                    $($oneof::$other(inner) => Self::$other {
                        $($inner: $crate::convert::shape::Field::from_field(
                            inner.$outer,
                            stringify!($outer),
                        )?,)*
                    },)*
                })
            }
        }
    };
}

/// A choice in a message that holds nothing else.
macro_rules! wrapped {
    ($domain:ident in $message:path, $field:ident) => {
        impl $crate::convert::shape::Wire for $domain {
            type Message = $message;
            const WHAT: &'static str = <Self as $crate::convert::shape::Choice>::WHAT;

            fn to_wire(&self) -> $message {
                $message { $field: Some($crate::convert::shape::Choice::to_oneof(self)) }
            }

            fn from_wire(message: $message) -> Result<Self, $crate::convert::shape::Fault> {
                let what = <Self as $crate::convert::shape::Wire>::WHAT;
                let oneof = message.$field.ok_or_else(|| {
                    $crate::convert::shape::Fault(format!("the {what} is of no known kind"))
                })?;
                $crate::convert::shape::Choice::from_oneof(oneof)
            }
        }
    };
}

/// A choice among the fields of a larger message.
macro_rules! embedded {
    ($domain:ident) => {
        impl $crate::convert::shape::Field for $domain {
            type Wire = Option<<Self as $crate::convert::shape::Choice>::Oneof>;

            fn to_field(&self) -> Self::Wire {
                Some($crate::convert::shape::Choice::to_oneof(self))
            }

            fn from_field(
                field: Self::Wire,
                _name: &'static str,
            ) -> Result<Self, $crate::convert::shape::Fault> {
                let what = <Self as $crate::convert::shape::Choice>::WHAT;
                let oneof = field.ok_or_else(|| {
                    $crate::convert::shape::Fault(format!("the {what} is of no known kind"))
                })?;
                $crate::convert::shape::Choice::from_oneof(oneof)
            }
        }
    };
}
