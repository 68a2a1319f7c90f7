// How scripts/typescript-client makes the client: one ApiClient whose members keep the API's own names.
export default {
  input: process.env.DOCUMENT,
  output: process.env.CLIENT,
  logs: { file: false },
  plugins: [
    "@hey-api/typescript",
    { name: "@hey-api/client-fetch", throwOnError: true },
    {
      name: "@hey-api/sdk",
      operations: {
        strategy: "single",
        containerName: "ApiClient",
        methodName: { casing: "preserve" },
        segmentName: { casing: "preserve" },
      },
      paramsStructure: "flat",
      responseStyle: "data",
    },
  ],
};
