const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Asks again until the answer is truthy. Its last error is the one reported; a final one ends the wait at once. */
export async function until(ask, what, timeout = 30_000) {
  const deadline = Date.now() + timeout;
  let last = '';
  for (;;) {
    try {
      const answer = await ask();
      if (answer) {
        return answer;
      }
      last = '';
    } catch (error) {
      last = `: ${error.message}`;
      if (error.final) {
        throw error;
      }
    }
    if (Date.now() > deadline) {
      throw new Error(`waited ${timeout / 1000} s for ${what}${last}`);
    }
    await pause(100);
  }
}
