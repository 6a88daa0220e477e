/**
 * Writes a result to stdout and waits until it is taken: a large answer is never cut by the end of the process. A reader
 * that has seen enough (`| head`) is no error.
 */
export function writeOut(text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const done = (error?: Error | null): void => {
      const code = error !== null && error !== undefined && 'code' in error ? error.code : undefined;
      if (error == null || code === 'EPIPE') resolve();
      else reject(error);
    };
    // stays: the stream may say it once more after the write has ended
    process.stdout.on('error', done);
    process.stdout.write(text, done);
  });
}
