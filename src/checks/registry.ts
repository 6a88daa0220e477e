// Written by scripts/generate-checks.js: do not edit.
import type { Check } from './context.js';
import { check as mp0101 } from './mp0101.js';
import { check as mp0102 } from './mp0102.js';
import { check as mp1001 } from './mp1001.js';
import { check as mp1002 } from './mp1002.js';
import { check as mp1003 } from './mp1003.js';
import { check as mp1004 } from './mp1004.js';
import { check as mp1005 } from './mp1005.js';
import { check as mp1007 } from './mp1007.js';
import { check as mp1008 } from './mp1008.js';
import { check as mp1010 } from './mp1010.js';
import { check as mp1018 } from './mp1018.js';
import { check as mp1019 } from './mp1019.js';
import { check as mp1101 } from './mp1101.js';
import { check as mp1102 } from './mp1102.js';
import { check as mp1104 } from './mp1104.js';
import { check as mp2001 } from './mp2001.js';
import { check as mp3001 } from './mp3001.js';
import { check as mp3002 } from './mp3002.js';
import { check as mp3003 } from './mp3003.js';
import { check as mp3004 } from './mp3004.js';
import { check as mp3008 } from './mp3008.js';
import { check as mp3009 } from './mp3009.js';
import { check as mp3301 } from './mp3301.js';
import { check as mp3303 } from './mp3303.js';
import { check as mp4001 } from './mp4001.js';
import { check as mp4002 } from './mp4002.js';
import { check as mp4003 } from './mp4003.js';
import { check as mp4004 } from './mp4004.js';
import { check as mp4006 } from './mp4006.js';
import { check as mp4007 } from './mp4007.js';
import { check as mp4011 } from './mp4011.js';
import { check as mp5001 } from './mp5001.js';
import { check as mp5002 } from './mp5002.js';
import { check as mp5004 } from './mp5004.js';
import { check as mp5006 } from './mp5006.js';
import { check as mp5007 } from './mp5007.js';
import { check as mp6008 } from './mp6008.js';
import { check as mp6009 } from './mp6009.js';
import { check as mp6101 } from './mp6101.js';
import { check as mp7001 } from './mp7001.js';
import { check as mp9005 } from './mp9005.js';

/** Every check, by code. */
export const CHECKS: readonly Check[] = [
  mp0101,
  mp0102,
  mp1001,
  mp1002,
  mp1003,
  mp1004,
  mp1005,
  mp1007,
  mp1008,
  mp1010,
  mp1018,
  mp1019,
  mp1101,
  mp1102,
  mp1104,
  mp2001,
  mp3001,
  mp3002,
  mp3003,
  mp3004,
  mp3008,
  mp3009,
  mp3301,
  mp3303,
  mp4001,
  mp4002,
  mp4003,
  mp4004,
  mp4006,
  mp4007,
  mp4011,
  mp5001,
  mp5002,
  mp5004,
  mp5006,
  mp5007,
  mp6008,
  mp6009,
  mp6101,
  mp7001,
  mp9005,
];
