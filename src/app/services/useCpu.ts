import { api } from '../../api/client';
import { type Series, type Service } from '../../api/types';
import { defaultProfileType } from '../../model/profile_type';
import { type MillisRange, stepFor } from '../../state/time';
import { useLoad } from '../../ui/useLoad';

/** The main profile type of a service over time. */
export interface Activity {
  type: string;
  points: Series['points'];
  total: number;
}

const SERVICE = 'service_name';

/** Activity by service name: one request for each main profile type, however many services there are. */
export function useCpu(services: Service[], range: MillisRange): Map<string, Activity> {
  const types = [...new Set(services.map(({ profileTypes }) => defaultProfileType(profileTypes)))]
    .filter((type): type is string => type !== undefined)
    .sort();
  const key = types.length > 0 ? `${range.from} ${range.until} ${types.join(' ')}` : null;
  const loaded = useLoad(key, async (signal) => {
    const step = stepFor(range, 60);
    const answers = await Promise.all(
      types.map((type) => api.series({ service: '', selector: '', type, ...range, step, groupBy: [SERVICE] }, signal))
    );
    return new Map(types.map((type, index) => [type, bySeries(answers[index].series)]));
  });

  const activity = new Map<string, Activity>();
  for (const { name, profileTypes } of services) {
    const type = defaultProfileType(profileTypes);
    const points = type && loaded.data?.get(type)?.get(name);
    if (type && points) {
      activity.set(name, { type, points, total: points.reduce((sum, [, value]) => sum + value, 0) });
    }
  }
  return activity;
}

function bySeries(series: Series[] | null): Map<string, Series['points']> {
  return new Map((series ?? []).map(({ labels, points }) => [labels[SERVICE] ?? '', points]));
}
