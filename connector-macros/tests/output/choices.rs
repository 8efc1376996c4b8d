#[automatically_derived]
impl ::connector_core::__private::Choices for Window {
    const CHOICES: &'static [::connector_core::__private::Choice] = &[
        ::connector_core::__private::Choice {
            id: "day",
            label: "Day",
        },
        ::connector_core::__private::Choice {
            id: "seven-days",
            label: "A week",
        },
        ::connector_core::__private::Choice {
            id: "all_time",
            label: "All time",
        },
    ];
    fn from_id(id: &str) -> ::core::option::Option<Self> {
        match id {
            "day" => ::core::option::Option::Some(Self::Day),
            "seven-days" => ::core::option::Option::Some(Self::Week),
            "all_time" => ::core::option::Option::Some(Self::AllTime),
            _ => ::core::option::Option::None,
        }
    }
    fn id(&self) -> &'static str {
        self.__connector_choice()
    }
}
#[automatically_derived]
impl Window {
    #[doc(hidden)]
    pub const fn __connector_choice(&self) -> &'static str {
        match *self {
            Self::Day { .. } => "day",
            Self::Week { .. } => "seven-days",
            Self::AllTime { .. } => "all_time",
        }
    }
}
