use super::ActionError;
use crate::engine::ConnectionStatus;
use crate::id::ConnectionId;
use crate::runtime::Runtime;

impl Runtime {
    /// Lets a suspended connection go on, with its limits counted anew (R6.7).
    pub async fn resume(&self, id: ConnectionId) -> Result<(), ActionError> {
        let row = self.connection(id).await?;
        self.shared.budgets.forget(id);
        if !self.shared.set_status(id, ConnectionStatus::Suspended, ConnectionStatus::Active, None).await? {
            let status = row.status.as_str();
            return Err(ActionError::Conflict(format!("{id} is not suspended: it is {status}")));
        }
        Ok(())
    }
}
