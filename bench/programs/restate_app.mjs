// The saga on Restate's TypeScript SDK, as its guide to sagas writes one.
// The SDK wants Node 22; older versions lack only this function.
Promise.withResolvers ??= function () {
  let resolve, reject;
  const promise = new Promise((take, refuse) => {
    resolve = take;
    reject = refuse;
  });
  return { promise, resolve, reject };
};
const restate = await import("@restatedev/restate-sdk");

const step = async () => ({ done: true });
const failing = async () => {
  throw new restate.TerminalError("no carrier");
};

const orders = restate.service({
  name: "Orders",
  handlers: {
    happy: async (context, _order) => {
      await context.run("reserve", step);
      await context.run("charge", step);
      await context.run("ship", step);
      return "happy";
    },
    compensated: async (context, _order) => {
      const undos = [];
      try {
        undos.push("release");
        await context.run("reserve", step);
        undos.push("refund");
        await context.run("charge", step);
        await context.run("ship", failing);
      } catch (error) {
        if (!(error instanceof restate.TerminalError)) throw error;
        for (const name of undos.reverse()) await context.run(name, step);
        return "compensated";
      }
      return "happy";
    },
  },
});

restate.serve({ services: [orders], port: Number(process.argv[2]) });
