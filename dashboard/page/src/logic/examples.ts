/** Manifests to begin with. */

const DEPLOYMENT = `apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
spec:
  replicas: 2
  selector:
    matchLabels:
      app: web
  template:
    metadata:
      labels:
        app: web
    spec:
      containers:
      - name: web
        image: nginx
        ports:
        - containerPort: 80
`;

const EXAMPLES: Record<string, string> = {
  Deployment: DEPLOYMENT,
  Service: `apiVersion: v1
kind: Service
metadata:
  name: web
spec:
  selector:
    app: web
  ports:
  - port: 80
`,
  ConfigMap: `apiVersion: v1
kind: ConfigMap
metadata:
  name: settings
data:
  key: value
`,
  Secret: `apiVersion: v1
kind: Secret
metadata:
  name: password
stringData:
  password: ""
`,
  Job: `apiVersion: batch/v1
kind: Job
metadata:
  name: once
spec:
  template:
    spec:
      restartPolicy: Never
      containers:
      - name: once
        image: busybox
        command: [echo, done]
`,
  CronJob: `apiVersion: batch/v1
kind: CronJob
metadata:
  name: nightly
spec:
  schedule: "0 3 * * *"
  jobTemplate:
    spec:
      template:
        spec:
          restartPolicy: Never
          containers:
          - name: nightly
            image: busybox
            command: [echo, done]
`,
  PersistentVolumeClaim: `apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: data
spec:
  accessModes: [ReadWriteOnce]
  resources:
    requests:
      storage: 1Gi
`,
  Namespace: `apiVersion: v1
kind: Namespace
metadata:
  name: team
`,
};

/** A manifest of a kind; a Deployment where there is none of it. */
export function example(kind: string | undefined): string {
  return EXAMPLES[kind ?? ""] ?? DEPLOYMENT;
}
