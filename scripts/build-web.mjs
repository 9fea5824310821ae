console.log("web build: later")
