import type { Routes } from '../app.ts';
import { controlRoutes } from './control.ts';
import { devMailRoutes } from './dev-mail.ts';
import { healthRoutes } from './health.ts';

/** Every endpoint of the server; a new noun is one file beside this one and one line here. */
export const routes: readonly Routes[] = [controlRoutes, devMailRoutes, healthRoutes];
