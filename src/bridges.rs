//! THE list of built-in bridges: a line a bridge.

use interline_bridge_api::Bridge;
use std::sync::Arc;

/// Every built-in bridge, in the order in which people see them.
pub fn all() -> Vec<Arc<dyn Bridge>> {
    vec![
        Arc::new(interline_whatsapp::WhatsApp::new()),
        Arc::new(interline_messenger::Messenger::new()),
        Arc::new(interline_instagram::Instagram::new()),
    ]
}

/// Their ids.
pub fn ids() -> Vec<String> {
    all().iter().map(|bridge| bridge.manifest().id.as_str().to_owned()).collect()
}

/// One of them by its id.
pub fn find(id: &str) -> Option<Arc<dyn Bridge>> {
    all().into_iter().find(|bridge| bridge.manifest().id.as_str() == id)
}
