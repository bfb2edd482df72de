//! The rules over descriptors that the program relies on. buf checks the form of the contract, this checks its meaning.
//!
//! Each rule is a function that returns sentences; an exception to a standard method carries its reason in the method's
//! comment (it names the AIP, or says why there is no REST binding).
mod access;
mod foreign;
mod shape;
mod standard;

use prost_reflect::{DescriptorPool, MethodDescriptor, ServiceDescriptor};
use proto::{Access, Method, Rule};

pub use foreign::{Foreign, foreign_tenant, foreign_to};
pub use shape::{Fill, Place, Shape};

/// The contract as the rules read it.
#[derive(Debug)]
pub struct Contract {
    pool: DescriptorPool,
}

impl Default for Contract {
    fn default() -> Contract {
        Contract { pool: DescriptorPool::decode(proto::CONTRACT).expect("the build script wrote a valid set") }
    }
}

impl Contract {
    /// All violations of all rules.
    #[must_use]
    pub fn violations(&self) -> Vec<String> {
        let rules: [fn(&Contract) -> Vec<String>; 12] = [
            access::declared,
            access::bound,
            access::resource_paths,
            access::calls,
            access::permissions,
            access::peers,
            standard::signatures,
            standard::idempotency,
            standard::pages,
            standard::streams,
            standard::events,
            standard::reasons,
        ];
        rules.iter().flat_map(|rule| rule(self)).collect()
    }

    /// Methods that need no credential, one a line, sorted: the golden list.
    #[must_use]
    pub fn public_methods(&self) -> String {
        listed(|access| access.rule == Rule::Public)
    }

    /// Methods that refuse an administrator who acts as the user, in the same form.
    #[must_use]
    pub fn personal_methods(&self) -> String {
        listed(|access| access.in_person && matches!(access.rule, Rule::SelfOnly | Rule::Permission(_)))
    }

    fn services(&self) -> impl Iterator<Item = ServiceDescriptor> {
        self.pool.services().filter(|service| service.package_name().starts_with("workos."))
    }

    fn methods(&self) -> impl Iterator<Item = (MethodDescriptor, &'static Method)> {
        self.services().flat_map(|service| service.methods().collect::<Vec<_>>()).filter_map(|method| {
            let known = proto::methods().get(&format!("/{}/{}", method.parent_service().full_name(), method.name()))?;
            Some((method, known))
        })
    }
}

fn listed(which: impl Fn(&Access) -> bool) -> String {
    let chosen = |method: &&Method| method.access.as_ref().is_some_and(&which);
    let mut names: Vec<_> = proto::methods().iter().filter(chosen).map(|method| format!("{}\n", method.rpc)).collect();
    names.sort();
    names.concat()
}

/// The comments of a method and of its service.
fn comments(method: &MethodDescriptor) -> String {
    let file = method.parent_file();
    let at = |path: &[i32]| {
        let info = file.file_descriptor_proto().source_code_info.as_ref();
        let location = info.and_then(|info| info.location.iter().find(|location| location.path == path));
        location
            .map(|location| format!("{}{}", location.leading_comments(), location.trailing_comments()))
            .unwrap_or_default()
    };
    format!("{}{}", at(method.path()), at(method.parent_service().path()))
}
