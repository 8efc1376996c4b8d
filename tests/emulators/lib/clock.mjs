// The emulators' time. Import this before anything that reads the time.
export const RealDate = Date;

export const clock = {
  offset: 0, // ms added to the real time
  fixed: null, // or one instant, while a request carries x-emu-clock
};

globalThis.Date = class extends RealDate {
  constructor(...a) {
    if (a.length) super(...a);
    else super(clock.fixed ?? RealDate.now() + clock.offset);
  }
  static now() {
    return clock.fixed ?? RealDate.now() + clock.offset;
  }
};

export const sleep = (ms) => new Promise((r) => setTimeout(r, ms));
