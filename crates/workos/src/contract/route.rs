//! The table of routes.
use anyhow::{Result, anyhow};
use proto::{Access, Rule};

use crate::terminal;

/// Prints verb, template, RPC and who may call.
pub(crate) fn table() -> Result<()> {
    let contract = transcode::compile(proto::CONTRACT, &transcode::Options::default());
    let contract =
        contract.map_err(|errors| anyhow!(errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")))?;
    let mut rows: Vec<Vec<String>> = contract
        .routes()
        .map(|(verb, template, plan)| {
            let access = proto::methods().get(&plan.rpc_path).and_then(|method| method.access.as_ref());
            let (who, rate) = access.map(|access| (who(access), access.rate.as_str_name())).unwrap_or_default();
            vec![verb.to_owned(), template.to_owned(), plan.full_name.clone(), who, rate.to_owned()]
        })
        .collect();
    rows.sort_by(|left, right| (&left[1], &left[0]).cmp(&(&right[1], &right[0])));
    terminal::table(&rows);
    Ok(())
}

fn who(access: &Access) -> String {
    match &access.rule {
        Rule::Public => "anybody".to_owned(),
        Rule::SelfOnly => "the user himself".to_owned(),
        Rule::PeerOnly => format!("workloads {}", access.peers.join(", ")),
        Rule::Permission(permission) => {
            let role = access.role.map_or("nobody", |role| role.as_str_name());
            let share = access.share.map(|share| format!(" or share {}", share.as_str_name())).unwrap_or_default();
            format!("{permission}: {role}{share}")
        }
    }
}
