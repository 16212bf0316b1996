//! Labels and annotations by which the kubelet knows its sandboxes and
//! containers again after a restart. The names are Kubernetes'.

/// Label: the pod's name.
pub const POD_NAME: &str = "io.kubernetes.pod.name";
/// Label: the pod's namespace.
pub const POD_NAMESPACE: &str = "io.kubernetes.pod.namespace";
/// Label: the pod's UID.
pub const POD_UID: &str = "io.kubernetes.pod.uid";
/// Label: the container's name.
pub const CONTAINER_NAME: &str = "io.kubernetes.container.name";

/// Annotation: hash of the container's spec when it was created.
pub const HASH: &str = "io.kubernetes.container.hash";
/// Annotation: how many times the container had been restarted.
pub const RESTART_COUNT: &str = "io.kubernetes.container.restartCount";
/// Annotation: where in the container the termination message is written.
pub const TERMINATION_MESSAGE_PATH: &str = "io.kubernetes.container.terminationMessagePath";
/// Annotation: `File` or `FallbackToLogsOnError`.
pub const TERMINATION_MESSAGE_POLICY: &str = "io.kubernetes.container.terminationMessagePolicy";
/// Annotation, not Kubernetes': the container's resources when it was created, as JSON.
pub const RESOURCES: &str = "io.kubernetes.container.resources";
/// Annotation: the pod's termination grace period in seconds.
pub const POD_GRACE_PERIOD: &str = "io.kubernetes.pod.terminationGracePeriod";
