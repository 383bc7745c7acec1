import { IconMessageCircle, type TablerIcon } from '@tabler/icons-react';

/** One entry of the navigation. A page is there when its route is; `permission` is what it is of no use without. */
export interface Page {
  to: '/projects/$project/chat';
  label: string;
  icon: TablerIcon;
  permission: string;
}

export const PAGES: Page[] = [
  { to: '/projects/$project/chat', label: 'Chat', icon: IconMessageCircle, permission: 'completion:create' },
];
