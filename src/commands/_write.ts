/** Writes a result to stdout and waits until it is taken: a large answer is never cut by the end of the process. */
export function writeOut(text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    process.stdout.write(text, (error) => (error ? reject(error) : resolve()));
  });
}
