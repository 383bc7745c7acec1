import {
  IconArrowsSplit2,
  IconChartLine,
  IconCube,
  IconListSearch,
  IconMessageCircle,
  IconSettings,
  type TablerIcon,
} from '@tabler/icons-react';

/** One entry of the navigation. A page is there when its route is; `permission` is what it is of no use without. */
export interface Page {
  to:
    | '/projects/$project/chat'
    | '/projects/$project/interactions'
    | '/projects/$project/metrics'
    | '/projects/$project/ab-tests'
    | '/projects/$project/models'
    | '/projects/$project/settings';
  label: string;
  icon: TablerIcon;
  permission: string;
}

export const PAGES: Page[] = [
  { to: '/projects/$project/chat', label: 'Chat', icon: IconMessageCircle, permission: 'completion:create' },
  {
    to: '/projects/$project/interactions',
    label: 'Interactions',
    icon: IconListSearch,
    permission: 'interaction:read',
  },
  { to: '/projects/$project/metrics', label: 'Metrics', icon: IconChartLine, permission: 'project:read' },
  {
    to: '/projects/$project/ab-tests',
    label: 'A/B tests',
    icon: IconArrowsSplit2,
    permission: 'project:read',
  },
  { to: '/projects/$project/models', label: 'Models', icon: IconCube, permission: 'project:read' },
  { to: '/projects/$project/settings', label: 'Settings', icon: IconSettings, permission: 'project:read' },
];
