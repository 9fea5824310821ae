process.send?.('ready');
setInterval(() => undefined, 1_000);
