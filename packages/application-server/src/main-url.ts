/** The program to start as a child process with `--config FILE`; TypeScript here, JavaScript in what is published. */
export const APPLICATION_SERVER_MAIN = new URL(
  import.meta.url.replace(/main-url(?=\.[jt]s$)/, 'application-server-main'),
)
