// What tests/apps/traffic.py does for Python: requests by several workers, counted by step. A line on stdin ends a step.
import { createInterface } from 'node:readline';

function kind(error) {
  const code = error.code ?? error.cause?.code ?? error.driverError?.code ?? error.name;
  const told = String(error.meta?.driverAdapterError?.cause?.originalMessage ?? error.message).split('\n').filter(Boolean).at(-1);
  return `${code}: ${told}`;
}

export async function serve(requests, close, workers = 3) {
  let count, errors, longest, first, last, stopped = false;
  const clear = () => { [count, errors, longest, first, last] = [0, {}, 0, null, 0]; };
  clear();
  const work = async () => {
    while (!stopped) {
      const request = requests[Math.floor(Math.random() * requests.length)];
      const begun = performance.now();
      try {
        await request();
      } catch (e) {
        const k = `${request.name}: ${kind(e)}`;
        errors[k] = (errors[k] ?? 0) + 1;
        first ??= performance.now();
        last = performance.now();
      }
      count += 1;
      longest = Math.max(longest, performance.now() - begun);
      await new Promise((done) => setTimeout(done, Math.random() * 40));
    }
  };
  const tell = () => {
    const failing_s = first === null ? 0 : (last - first) / 1000;
    console.log(JSON.stringify({ requests: count, errors, failing_s, longest_ms: Math.round(longest) }));
    clear();
  };
  const all = Array.from({ length: workers }, work);
  console.log('ready');
  for await (const _ of createInterface({ input: process.stdin })) tell();
  stopped = true;
  await Promise.all(all);
  tell();
  await close();
}
