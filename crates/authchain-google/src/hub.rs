//! Hubs: the typed API clients of google-apis-rs, one Cargo feature each. A further one is one line in the table below.

use google_apis_common::Client;

use crate::{Connector, Endpoints, TokenBridge};

/// A typed client of one API, as [`ServiceFactory::service`](crate::ServiceFactory::service) makes it.
pub trait Hub: Sized + Send + Sync + 'static {
    /// The key of its service in the [catalogue](crate::catalogue).
    const SERVICE: &'static str;

    /// Makes one. Cheap: the client is shared, and nothing is asked of anybody.
    fn new(client: Client<Connector>, token: TokenBridge, endpoints: &Endpoints) -> Self;
}

/// feature, type, service key.
macro_rules! hubs {
    ($($feature:literal $hub:path => $service:literal;)*) => {$(
        #[cfg(feature = $feature)]
        impl Hub for $hub {
            const SERVICE: &'static str = $service;

            fn new(client: Client<Connector>, token: TokenBridge, endpoints: &Endpoints) -> Self {
                let mut hub = Self::new(client, token);
                // The setters return what was there before: Google's own address of this API.
                let base = hub.base_url(String::new());
                let root = hub.root_url(String::new());
                hub.base_url(endpoints.locate(&base));
                hub.root_url(endpoints.locate(&root));
                hub
            }
        }
    )*};
}

hubs! {
    "drive" google_drive3::DriveHub<Connector> => "drive";
    "gmail" google_gmail1::Gmail<Connector> => "gmail";
    "calendar" google_calendar3::CalendarHub<Connector> => "calendar";
    "docs" google_docs1::Docs<Connector> => "docs";
    "sheets" google_sheets4::Sheets<Connector> => "sheets";
    "people" google_people1::PeopleService<Connector> => "people";
    "tasks" google_tasks1::TasksHub<Connector> => "tasks";
}
