import {
  IconArrowsSplit2,
  IconChartLine,
  IconCloudPlus,
  IconDownload,
  IconFileExport,
  IconGavel,
  IconPencilPlus,
  IconPlugConnected,
  IconShieldPlus,
  IconUserPlus,
  type TablerIcon,
} from '@tabler/icons-react';
import type { Page } from './pages';

/** What can be begun on a page: the palette goes there and asks for it by its name, see `useAsked`. */
export interface Command {
  name: string;
  icon: TablerIcon;
  to: Page['to'];
  /** Of the page Settings. */
  tab?: string;
  permission: string;
}

const MODELS = '/projects/$project/models';
const SETTINGS = '/projects/$project/settings';

const COMMANDS: Command[] = [
  { name: 'Attach a model', icon: IconPlugConnected, to: MODELS, permission: 'model:deploy' },
  { name: 'Import a model', icon: IconDownload, to: MODELS, permission: 'admin:manage_models' },
  { name: 'Add an external model', icon: IconCloudPlus, to: MODELS, permission: 'admin:manage_models' },
  {
    name: 'Create metric',
    icon: IconChartLine,
    to: '/projects/$project/metrics',
    permission: 'metric:manage',
  },
  {
    name: 'Create A/B test',
    icon: IconArrowsSplit2,
    to: '/projects/$project/ab-tests',
    permission: 'ab_test:manage',
  },
  {
    name: 'Log an interaction',
    icon: IconPencilPlus,
    to: '/projects/$project/interactions',
    permission: 'interaction:create',
  },
  {
    name: 'Export interactions',
    icon: IconFileExport,
    to: '/projects/$project/interactions',
    permission: 'interaction:read',
  },
  { name: 'Create grader', icon: IconGavel, to: SETTINGS, tab: 'graders', permission: 'grader:manage' },
  { name: 'Create user', icon: IconUserPlus, to: SETTINGS, tab: 'users', permission: 'admin:manage_users' },
  { name: 'Create role', icon: IconShieldPlus, to: SETTINGS, tab: 'roles', permission: 'admin:manage_roles' },
];

export const commandsFor = (may: (permission: string) => boolean): Command[] =>
  COMMANDS.filter(({ permission }) => may(permission));
